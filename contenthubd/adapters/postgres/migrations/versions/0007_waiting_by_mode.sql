-- A refill for one mode reads its own tasks only, however many of the other mode wait.
CREATE INDEX task_waiting_by_mode ON task (mode, priority, turn, sequence) WHERE state = 'pending';
