"""When things run. DAGs meet through assets only; their files import no tool."""
