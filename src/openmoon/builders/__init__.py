"""From a recipe to what its steps work with: workspace, pairs, negatives, objectives, systems to compare, trained encoders."""
