"""The report page: one file for a browser, made from a report and its answers."""
