"""The official archives of public data sets, read as they are served: nothing is unpacked."""
