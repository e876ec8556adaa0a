"""The study of multi-view data: what ensembles and distillation gain where classes have views, and where not."""
