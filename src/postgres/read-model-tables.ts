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
  p_changes json, indexed boolean, p_dead json, p_gone bigint, p_slots smallint[]
) returns text language plpgsql as $body$
declare
  stored text; p0 int; p1 int; p int; changes ${schema}.read_model_change[];
begin
  select state, part0, part1 into stored, p0, p1
    from ${schema}.read_models where log = p_log and name = p_name for update;
  if not found then return ''; end if;
  if stored <> was then return stored; end if;
  p := case p_slot when 0 then p0 else p1 end;
  if p_changes is not null then
    changes := array(select c from json_populate_recordset(null::${schema}.read_model_change, p_changes) as c);
    if indexed then
      delete from ${schema}.read_model_entries e using (
        select c.key, o.entry from unnest(changes) as c
          join ${schema}.read_model_rows r on r.part = p and r.tab = c.tab and r.key = c.key
          cross join unnest(r.entries) as o(entry)
          where o.entry <> all (coalesce(c.entries, '{}'))) d
        where e.part = p and e.entry = d.entry and e.key = d.key;
    end if;
    delete from ${schema}.read_model_rows r using unnest(changes) as c
      where c.row is null and r.part = p and r.tab = c.tab and r.key = c.key;
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
      select p, (l ->> 'position')::bigint, l from json_array_elements(p_dead) as l
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
