"""What surrounds runs: store, races, standings, claims, figures, reports and the console."""
