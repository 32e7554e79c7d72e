"""Excel's files: they are not read, and the error says how to save a sheet as a table."""

from rnvp_runtime.errors import TableError

__all__ = ["EXCEL", "EXCEL_SUFFIXES", "excel_error"]

EXCEL_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")

EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The first bytes of an ``.xls``; an ``.xlsx`` is a zip archive."""


def excel_error(name: str) -> TableError:
    """The error for a workbook; its text says what to do."""
    return TableError(
        f"{name} is a spreadsheet: save the sheet as CSV UTF-8, or write it with "
        'pandas.read_excel(TABLE).to_parquet("table.parquet")'
    )
