"""Files of the simulated survey, in the layouts of the Legacy Surveys."""
