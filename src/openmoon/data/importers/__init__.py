"""Public data sets, as people download them → our tables. Pictures stay where they are and are named by full path."""

from openmoon.data.importers.fashion import import_fashion
from openmoon.data.importers.grocery import import_grocery
from openmoon.data.importers.output import ImportReport

IMPORTERS = {"fashion": import_fashion, "grocery": import_grocery}

__all__ = ["IMPORTERS", "ImportReport", "import_fashion", "import_grocery"]
