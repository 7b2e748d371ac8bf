"""Pure: 2-D word maps, plots, and the report page of a release."""
