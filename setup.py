"""What pyproject.toml cannot say: the wheel has a copy of prefect.yaml inside the package `flows`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithDeployments(build_py):  # type: ignore[misc]
    """Copy prefect.yaml, which a checkout keeps at its top, next to the code that reads it."""

    def run(self) -> None:
        """Build the packages, then add the file. An editable install reads the one at the top."""
        super().run()
        if not self.editable_mode:
            shutil.copyfile(Path(__file__).parent / "prefect.yaml", Path(self.build_lib) / "flows" / "prefect.yaml")


setup(cmdclass={"build_py": BuildWithDeployments})
