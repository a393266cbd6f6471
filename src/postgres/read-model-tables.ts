/** The tables of read models, and the function that commits to one: what a migration creates. */

/**
 * The statements, for a schema whose name is quoted already.
 *
 * `read_models` has the state of each read model, and the numbers of its two parts: of the slot that readers see, and of
 * the one that a rebuild fills. A slot that is emptied gets another number, and what has the old number is deleted later
 * (`read_model_garbage`). `read_model_entries` has an entry for each key under which an index has a row: the number of
 * the index, and the key. The order of the bytes of keys is that of the keys.
 */
export function readModelTables(schema: string): readonly string[] {
  const part = `int not null default nextval('${schema.replaceAll("'", "''")}.read_model_parts')`
  return [
    `create sequence ${schema}.read_model_parts as int`,
    `create table ${schema}.read_models (
      log int not null, name text collate "C" not null,
      state text not null, shown smallint not null, part0 ${part}, part1 ${part}, tables json not null,
      primary key (log, name))`,
    `create table ${schema}.read_model_rows (
      part int not null, tab smallint not null, key bytea not null,
      row json not null, entries bytea[] not null,
      primary key (part, tab, key))`,
    `create table ${schema}.read_model_entries (
      part int not null, entry bytea not null, key bytea not null,
      primary key (part, entry, key))`,
    `create table ${schema}.read_model_dead_letters (
      part int not null, position bigint not null, dead_letter json not null,
      primary key (part, position))`,
    `create table ${schema}.read_model_garbage (part int primary key)`,
    `create type ${schema}.read_model_change as (tab smallint, key bytea, row json, entries bytea[])`,
    commitFunction(schema),
  ]
}

// (N83)
/**
 * Stores a state if the stored one is still `was`, and all that belongs to it, and returns nothing then; else it returns
 * the stored state, or an empty text where there is no such read model. `p_slots` are emptied after the rest.
 */
const commitFunction = (schema: string): string => `
create function ${schema}.read_model_commit(
  p_log int, p_name text, was text, becomes text, p_shown smallint, p_slot smallint,
  p_tabs json, p_keys json, p_rows json, p_entries json, indexed boolean,
  p_places json, p_dead json, p_gone bigint, p_slots smallint[]
) returns text language plpgsql
-- While tables are new nothing is known of their sizes, and plans are kept: each row is looked up by its key.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_material = off set join_collapse_limit = 1 set from_collapse_limit = 1
as $body$
declare
  stored text; p0 int; p1 int; p int; changes ${schema}.read_model_change[];
begin
  select state, part0, part1 into stored, p0, p1
    from ${schema}.read_models where log = p_log and name = p_name for update;
  if not found then return ''; end if;
  if stored <> was then return stored; end if;
  p := case p_slot when 0 then p0 else p1 end;
  if p_rows is not null then
    -- What takes a list of rows apart must not look into texts, which may hold U+0000.
    changes := array(
      select row(c.tab::smallint, c.key::bytea, case c.row::text when 'null' then null else c.row end, c.entries::bytea[]
        )::${schema}.read_model_change
      from rows from (json_array_elements_text(p_tabs), json_array_elements_text(p_keys), json_array_elements(p_rows),
        json_array_elements_text(p_entries)) as c(tab, key, row, entries));
    if indexed then
      delete from ${schema}.read_model_entries where ctid = any (array(
        select e.ctid from unnest(changes) as c
          join ${schema}.read_model_rows r on r.part = p and r.tab = c.tab and r.key = c.key
          cross join unnest(r.entries) as o(entry)
          join ${schema}.read_model_entries e on e.part = p and e.entry = o.entry and e.key = c.key
          where o.entry <> all (coalesce(c.entries, '{}'))));
    end if;
    delete from ${schema}.read_model_rows where ctid = any (array(
      select r.ctid from unnest(changes) as c
        join ${schema}.read_model_rows r on r.part = p and r.tab = c.tab and r.key = c.key
        where c.row is null));
    insert into ${schema}.read_model_rows (part, tab, key, row, entries)
      select p, c.tab, c.key, c.row, coalesce(c.entries, '{}') from unnest(changes) as c where c.row is not null
      on conflict (part, tab, key) do update set row = excluded.row, entries = excluded.entries;
    if indexed then
      insert into ${schema}.read_model_entries (part, entry, key)
        select p, n.entry, c.key from unnest(changes) as c cross join unnest(c.entries) as n(entry)
        where c.row is not null
        on conflict do nothing;
    end if;
  end if;
  if p_dead is not null then
    insert into ${schema}.read_model_dead_letters (part, position, dead_letter)
      select p, l.at::bigint, l.one
      from rows from (json_array_elements_text(p_places), json_array_elements(p_dead)) as l(at, one)
      on conflict (part, position) do update set dead_letter = excluded.dead_letter;
  end if;
  if p_gone is not null then
    delete from ${schema}.read_model_dead_letters where part = p and position = p_gone;
  end if;
  if 0 = any (p_slots) then insert into ${schema}.read_model_garbage values (p0); end if;
  if 1 = any (p_slots) then insert into ${schema}.read_model_garbage values (p1); end if;
  update ${schema}.read_models set state = becomes, shown = p_shown,
      part0 = case when 0 = any (p_slots) then nextval('${schema.replaceAll("'", "''")}.read_model_parts') else part0 end,
      part1 = case when 1 = any (p_slots) then nextval('${schema.replaceAll("'", "''")}.read_model_parts') else part1 end
    where log = p_log and name = p_name;
  return null;
end $body$`
