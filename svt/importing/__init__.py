"""Import circuits of other tools from GraphML, CSV and JSON files into the tables of a run."""
