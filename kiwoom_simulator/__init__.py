"""An imitation of Kiwoom's REST API: its documented behaviour, and each fault seen in practice behind a
switch.
"""

from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.options import Options
from kiwoom_simulator.server.simulator import Simulator

__all__ = ["Options", "SimulatedMarket", "Simulator"]
