"""A server that is Kiwoom's REST API as far as anybody knows it, and as nasty as it has been seen to be."""

from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.options import Options
from kiwoom_simulator.server.simulator import Simulator

__all__ = ["Options", "SimulatedMarket", "Simulator"]
