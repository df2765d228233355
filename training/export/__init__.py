"""From a finished run to a bundle: the graph, its gates, the manifest."""
