-- Who walks what: the list of what is still to be walked of the sweeps under way, shared by all that sweep.
--
-- A row is put on the list when a sweep begins, and goes with the transaction that writes its line in the ledger.
-- Until `expires_at` it is `holder`'s to walk; after that, anybody's. `number` is another one at each taking, so
-- that one who was thought dead, and comes back, writes nothing.
CREATE TABLE collector.claim (
    slot         timestamptz NOT NULL,
    target       smallint NOT NULL,
    place        integer NOT NULL, -- its turn in the sweep
    epoch        bigint, -- of the lease under which it is swept; NULL: by nobody who needs one
    offered_with text[] NOT NULL, -- the keys that whoever put it here walks with
    number       bigint,
    holder       text,
    key          text, -- the key that it is walked with, as in collector.quota
    expires_at   timestamptz NOT NULL DEFAULT '-infinity',
    is_read      boolean NOT NULL DEFAULT false, -- to be judged when the others have been read
    PRIMARY KEY (slot, target)
) WITH (fillfactor = 50);

CREATE SEQUENCE collector.taking;
