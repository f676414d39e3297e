"""Says what would become of records before they are sent: rejected, ignored, or read in a way that looks wrong."""

from flows.lint.examination import examine
from flows.lint.report import Finding, Rejection, Report
from flows.lint.samples import Samples, from_file, from_topic

__all__ = ["Finding", "Rejection", "Report", "Samples", "examine", "from_file", "from_topic"]
