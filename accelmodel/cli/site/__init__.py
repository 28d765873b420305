"""The documentation as a site: Markdown of ``accelmodel/docs``, tables made from the package, Sphinx."""
