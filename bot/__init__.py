"""flowbot: stops live media flows from Slack, through a gate."""
