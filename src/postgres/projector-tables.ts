/** The tables of plain projectors: checkpoints and dead letters, and the function that saves them together. */

/** The statements, for a schema whose name is quoted already. */
export const projectorTables = (schema: string): readonly string[] => [
  `create table ${schema}.checkpoints (
    log int, name text collate "C", position bigint not null, primary key (log, name))`,
  `create table ${schema}.dead_letters (
    log int, name text collate "C", position bigint, dead_letter json not null, primary key (log, name, position))`,
  // Returns nothing if it was saved; else the stored position, which is not the expected one.
  `create function ${schema}.checkpoint_save(
    p_log int, p_name text, p_position bigint, expected bigint, p_places json, p_dead json, drops boolean
  ) returns bigint language plpgsql as $body$
declare
  stored bigint;
begin
  loop
    select position into stored from ${schema}.checkpoints where log = p_log and name = p_name for update;
    exit when found;
    if expected <> 0 then return 0; end if;
    insert into ${schema}.checkpoints values (p_log, p_name, p_position) on conflict do nothing;
    -- Where another one came first, its position is compared.
    if found then
      stored := expected;
      exit;
    end if;
  end loop;
  if stored <> expected then return stored; end if;
  update ${schema}.checkpoints set position = p_position where log = p_log and name = p_name;
  if drops then delete from ${schema}.dead_letters where log = p_log and name = p_name; end if;
  insert into ${schema}.dead_letters
    select p_log, p_name, l.at::bigint, l.one
      from rows from (json_array_elements_text(p_places), json_array_elements(p_dead)) as l(at, one)
    on conflict (log, name, position) do update set dead_letter = excluded.dead_letter;
  return null;
end $body$`,
]
