"""`python -m openmoon.cli`, for `torchrun -m openmoon.cli`."""

from openmoon.cli import main

main()
