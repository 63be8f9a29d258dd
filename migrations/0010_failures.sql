-- The failures of a week out of 140,000 lines: few lines are not complete, so the index stays small and costs a complete walk nothing.
CREATE INDEX walk_incomplete ON collector.walk (slot DESC, target) WHERE status <> 'complete';
