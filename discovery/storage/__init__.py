"""Files put in place so that a kill or power cut leaves the old one or the new one."""
