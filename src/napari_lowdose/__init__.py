"""napari plugin of :mod:`lowdose`: denoise low-dose electron micrographs.

Nothing is imported here: napari reads ``napari.yaml`` at start-up, and widgets are
imported when they are opened.
"""
