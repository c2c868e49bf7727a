"""The models, one per file: which interests each is composed of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from openmoon.ctr.blocks.interest import Interest
from openmoon.ctr.models.concat import concat
from openmoon.ctr.models.cube import cube
from openmoon.ctr.models.din import din
from openmoon.ctr.models.dnn import dnn
from openmoon.ctr.models.eta import eta
from openmoon.ctr.models.inputs import Inputs
from openmoon.ctr.models.muse import muse
from openmoon.ctr.models.sata import sata
from openmoon.ctr.models.sim import sim_hard, sim_soft
from openmoon.ctr.models.simtier import simtier

Compose = Callable[[Inputs], Sequence[Interest]]
ID_MODELS: dict[str, Compose] = {"dnn": dnn, "din": din, "sim_hard": sim_hard, "sim_soft": sim_soft, "eta": eta}
CONTENT_MODELS: dict[str, Compose] = {"concat": concat, "simtier": simtier, "sata": sata, "cube": cube, "muse": muse}
