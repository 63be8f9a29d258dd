"""A server that is Kiwoom's REST API as far as anybody knows it, and as nasty as it has been seen to be."""

from collector.simulator.market import SimulatedMarket
from collector.simulator.options import Options
from collector.simulator.server import Simulator

__all__ = ["Options", "SimulatedMarket", "Simulator"]
