"""Matplotlib's backend in the page: plt.show() shows each open figure under the cell."""
import runner
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_svg import FigureCanvasSVG


class FigureManager(FigureManagerBase):
    @classmethod
    def pyplot_show(cls, *, block=None):
        runner.show_figures()


class FigureCanvas(FigureCanvasSVG):
    manager_class = FigureManager
