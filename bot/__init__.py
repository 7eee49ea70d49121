"""flowbot: stops live media flows from Slack, with approvals."""
