-- schema.sql - schema 1 of the history file: the first migration of data/migrate.c.
-- A later schema is a further step there; this file then stays as it is.
-- SPDX-License-Identifier: MIT

-- Facts about the file itself: 'log' is 'on' or 'off'; 'last_session', 'last_run':
-- ids below which none is used again.
CREATE TABLE setting(
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE model(
  id INTEGER PRIMARY KEY,
  header_sha256 BLOB NOT NULL CHECK(length(header_sha256) = 32),
  bytes INT NOT NULL,
  path TEXT NOT NULL,
  config TEXT NOT NULL, -- JSON
  UNIQUE(header_sha256, bytes)
) STRICT;

CREATE TABLE document(
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE CHECK(length(sha256) = 32),
  name TEXT,
  bytes INT NOT NULL,
  n_tok INT,
  fixes INT NOT NULL DEFAULT 0, -- malformed bytes that became U+FFFD
  body BLOB                     -- NULL: only the hash was kept
) STRICT;

CREATE TABLE session(
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE,
  title TEXT,
  created_ms INT NOT NULL,
  updated_ms INT NOT NULL,
  deleted_ms INT, -- hidden; below 0: being purged
  deleted_pid INT, deleted_start INT, deleted_boot TEXT -- it may be undone while this process lives
) STRICT;
CREATE INDEX session_updated ON session(updated_ms);

CREATE TABLE run(
  id INTEGER PRIMARY KEY,
  session_id INT NOT NULL REFERENCES session ON DELETE CASCADE,
  parent_id INT REFERENCES run ON DELETE SET NULL,
  pair_id INT, -- a number that the runs of one compare share
  model_id INT NOT NULL REFERENCES model,
  document_id INT REFERENCES document,
  chunk_no INT,
  kind TEXT NOT NULL CHECK(kind IN ('chat', 'summary', 'map', 'reduce', 'refine', 'compare', 'bench')),
  mode TEXT NOT NULL CHECK(mode IN ('sparse', 'masked', 'open')),
  prompt BLOB NOT NULL,
  output BLOB,          -- NULL while running
  params TEXT NOT NULL, -- JSON
  seed INT NOT NULL,
  build TEXT NOT NULL,
  host TEXT NOT NULL,
  status TEXT NOT NULL CHECK(status IN ('running', 'done', 'length', 'cancelled', 'error', 'interrupted')),
  error TEXT,
  pid INT, pid_start INT, boot_id TEXT, -- the process that writes a running row
  n_in INT, n_read INT, n_out INT NOT NULL DEFAULT 0,
  load_ns INT NOT NULL DEFAULT 0, prefill_ns INT NOT NULL DEFAULT 0, decode_ns INT NOT NULL DEFAULT 0,
  start_ms INT NOT NULL, end_ms INT
) STRICT;
CREATE INDEX run_session ON run(session_id);
CREATE INDEX run_parent ON run(parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX run_pair ON run(pair_id) WHERE pair_id IS NOT NULL;
CREATE INDEX run_document ON run(document_id) WHERE document_id IS NOT NULL;
CREATE INDEX run_running ON run(pid) WHERE status = 'running';

CREATE TABLE token(
  run_id INT NOT NULL REFERENCES run ON DELETE CASCADE,
  pos INT NOT NULL,
  id INT NOT NULL,
  text BLOB NOT NULL, -- what it added to the reply: replay needs no vocabulary
  logprob REAL,
  ns INT NOT NULL,
  ctl_us INT, ff_us INT, qkv_us INT, att_us INT, head_us INT, sample_us INT, other_us INT,
  bytes INT, -- weights and caches read
  zero INT,  -- blocks whose chosen unit was zero
  top BLOB,  -- up to five of (id int32, logprob float32), little-endian
  PRIMARY KEY(run_id, pos)
) STRICT, WITHOUT ROWID;

CREATE TABLE trace( -- large values: on purpose not WITHOUT ROWID
  id INTEGER PRIMARY KEY,
  run_id INT NOT NULL REFERENCES run ON DELETE CASCADE,
  stage TEXT NOT NULL CHECK(stage IN ('enc', 'dec')),
  plane TEXT NOT NULL CHECK(plane IN ('unit', 'alive', 'margin')),
  pos INT NOT NULL, -- first row of the chunk
  n INT NOT NULL,   -- rows, at most 64
  codec INT NOT NULL,
  crc32 INT NOT NULL,
  data BLOB NOT NULL,
  UNIQUE(run_id, stage, plane, pos)
) STRICT;

CREATE TABLE summary(
  id INTEGER PRIMARY KEY,
  document_id INT NOT NULL REFERENCES document,
  run_id INT NOT NULL UNIQUE REFERENCES run ON DELETE CASCADE,
  method TEXT NOT NULL,
  target TEXT,
  body TEXT NOT NULL,
  tok_read INT NOT NULL, tok_total INT NOT NULL, -- coverage
  rouge TEXT, -- JSON
  created_ms INT NOT NULL
) STRICT;
CREATE INDEX summary_document ON summary(document_id);

CREATE TABLE summary_step(
  summary_id INT NOT NULL REFERENCES summary ON DELETE CASCADE,
  step INT NOT NULL,
  run_id INT NOT NULL REFERENCES run ON DELETE CASCADE,
  PRIMARY KEY(summary_id, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX summary_step_run ON summary_step(run_id);

-- rowid = run.id.  Written by code beside run: FTS5 in a trigger is refused under
-- trusted_schema = OFF, which is on because people open files of others.
CREATE VIRTUAL TABLE run_fts USING fts5(prompt, output, tokenize = 'unicode61 remove_diacritics 2');
