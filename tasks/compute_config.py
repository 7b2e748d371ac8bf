"""Where the text stages compute: in this process and its children, or on a Dask cluster."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# No user, password, path or query: the address is stored with each run. Certificates of tls come from Dask's settings.
ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


class ComputeConfig(BaseModel):
    """Where the text stages compute. The result is the same to the byte, so no stage depends on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["local", "dask"] = Field(
        default="local",
        description="local: all cores of this machine; dask: the workers of the Dask cluster at compute.address",
    )
    address: str | None = Field(
        default=None,
        description="engine=dask: address of the scheduler, such as tcp://10.0.0.5:8786 or tls://10.0.0.5:8786",
    )

    @field_validator("address")
    @classmethod
    def _no_secret(cls, address: str | None) -> str | None:
        if address is not None and not ADDRESS.fullmatch(address):
            raise ValueError(
                "not the address of a Dask scheduler; use tcp://HOST:PORT or tls://HOST:PORT without user or password"
            )
        return address

    @model_validator(mode="after")
    def _cluster_is_named(self) -> Self:
        if self.engine == "dask" and self.address is None:
            raise ValueError(
                "engine=dask needs compute.address; start `dask scheduler` and `dask worker`, and set the address that "
                "the scheduler prints, or use compute.engine=local"
            )
        return self
