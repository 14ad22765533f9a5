"""The console scripts: `svt` with its sweeps, `svt-sql`, `svt-import`, `svt-export`."""
