SELECT pg_advisory_lock(727091) AS locked;
BEGIN;
SELECT pg_advisory_xact_lock(727092);
CREATE OR REPLACE FUNCTION manta_count_directories() RETURNS trigger AS $function$
DECLARE
    changed integer;
BEGIN
    IF TG_OP = 'INSERT' THEN
        LOOP
            UPDATE manta_directory_counts SET entries = entries + 1 WHERE _key = NEW.dirname;
            IF FOUND THEN
                RETURN NULL;
            END IF;
            BEGIN
                INSERT INTO manta_directory_counts (_key, _value, _etag, _vnode, entries)
                    VALUES (NEW.dirname, '{}', 'DEADBEEF', NEW._vnode, 1);
                RETURN NULL;
            EXCEPTION WHEN unique_violation THEN
                /* somebody else was first: count on */
            END;
        END LOOP;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE manta_directory_counts SET entries = entries - 1 WHERE _key = OLD.dirname;
        GET DIAGNOSTICS changed = ROW_COUNT;
        DELETE FROM manta_directory_counts WHERE _key = OLD.dirname AND entries <= 0;
        RETURN NULL;
    END IF;
    RETURN NULL;
END
$function$ LANGUAGE plpgsql;
COMMIT;
BEGIN;
SELECT pg_advisory_xact_lock(727092);
DO $block$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'manta_count_directories' AND tgrelid = 'manta'::regclass) THEN
        CREATE TRIGGER manta_count_directories AFTER INSERT OR DELETE ON manta FOR EACH ROW
            EXECUTE PROCEDURE manta_count_directories();
    END IF;
END
$block$;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgname = 'manta_count_directories';
COMMIT;
SELECT pg_advisory_unlock(727091) AS unlocked;
