"""Public data sets, as people download them → our tables. Pictures stay where they are and are named by full path."""

from collections.abc import Callable

from openmoon.data.importers.fashion import import_fashion
from openmoon.data.importers.grocery import import_grocery
from openmoon.data.importers.movielens import import_movielens
from openmoon.data.importers.output import ImportReport

IMPORTERS: dict[str, Callable[..., ImportReport]] = {
    "fashion": import_fashion,
    "grocery": import_grocery,
    "movielens": import_movielens,
}

__all__ = ["IMPORTERS", "ImportReport", "import_fashion", "import_grocery", "import_movielens"]
