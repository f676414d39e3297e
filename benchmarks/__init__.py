"""What Signalbox costs: workloads, and the figures that documents quote."""
