//! What the journal says of each subtask.
