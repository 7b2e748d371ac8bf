"""`vecmill corpora`: the corpora that can be named."""

from dataclasses import asdict

import typer
from rich.table import Table

from flows.cli.console import print_table
from flows.cli.help_panels import BUILD
from flows.cli.options import JsonOption, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=BUILD)(corpora)


def corpora(as_json: JsonOption = False) -> None:
    """List the corpora that corpus.name can refer to, with address, digest and licence.

    Example: vecmill build adhoc --set corpus.name=ptb
    """
    from storage.corpus.named_corpora import CORPORA

    if as_json:
        print_json([asdict(corpus) for corpus in CORPORA.values()])
        return
    table = Table("name", "description", "licence", "address", box=None, pad_edge=False, header_style="bold")
    for corpus in CORPORA.values():
        table.add_row(corpus.name, corpus.description, corpus.licence, corpus.address)
    print_table(table)
