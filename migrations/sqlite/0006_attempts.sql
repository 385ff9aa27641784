-- How often it was claimed since somebody last wrote to its chain or let go of it, and whether it was
-- given up: what is given up is never worked on again.
ALTER TABLE investigations ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE investigations ADD COLUMN abandoned INTEGER NOT NULL DEFAULT 0;
