"""One run of ``discovery index``, from the plan to the published release."""
