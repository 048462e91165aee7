"""Training from within napari: the job, its data, its records, and what is said of it.

Nothing here draws; the widget is :mod:`napari_lowdose.widgets.train`.
"""
