//! Asks the server of everything that it can enforce whether the rows keep it.

use thirdrun::postgres::Session;

/// Foreign keys and checks are dropped and made anew, which is how the server looks at every row again;
/// those that deferred checks or resting triggers left out, too.
const CONSTRAINTS: &str = "\
    SELECT pg_catalog.format('ALTER TABLE %1$s DROP CONSTRAINT %2$I, ADD CONSTRAINT %2$I %3$s', \
        k.conrelid::pg_catalog.regclass, k.conname, pg_catalog.pg_get_constraintdef(k.oid)) \
    FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid \
    WHERE k.conparentid = 0 AND k.coninhcount = 0 AND (k.contype = 'f' OR k.contype = 'c') AND k.convalidated \
      AND c.relnamespace::pg_catalog.regnamespace::text !~ '^(pg_|information_schema)' \
    ORDER BY 1";

/// Every value is read again as its type, which asks the domains inside it; none may be NULL where it must not.
const VALUES: &str = "\
    SELECT pg_catalog.format('SELECT count(*) FROM ONLY %s WHERE (%I::text::%s) IS NULL AND %s', \
        c.oid::pg_catalog.regclass, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), \
        CASE WHEN a.attnotnull THEN 'true' ELSE pg_catalog.format('%I IS NOT NULL', a.attname) END) \
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid \
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid \
    WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype <> 'c' AND t.typname !~ '^reg' \
      AND c.relnamespace::pg_catalog.regnamespace::text !~ '^(pg_|information_schema)' \
    ORDER BY 1";

/// Building an index anew finds what a unique or an exclusion constraint does not allow.
const INDEXES: &str = "\
    SELECT pg_catalog.format('REINDEX TABLE %s', c.oid::pg_catalog.regclass) FROM pg_catalog.pg_class AS c \
    WHERE c.relkind = 'r' AND c.relhasindex \
      AND c.relnamespace::pg_catalog.regnamespace::text !~ '^(pg_|information_schema)' \
    ORDER BY 1";

/// The next number of a sequence must not be in the column that it feeds.
const SEQUENCES: &str = "\
    SELECT pg_catalog.format('SELECT count(*) FROM %s WHERE %I = pg_catalog.nextval(%L)', \
        c.oid::pg_catalog.regclass, a.attname, d.objid::pg_catalog.regclass) \
    FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid \
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid \
    JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = d.objid \
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') \
      AND c.relkind IN ('r', 'p') AND pg_catalog.pg_sequence_last_value(s.seqrelid) IS NOT NULL \
      AND (s.seqincrement > 0) = (s.seqmax > pg_catalog.pg_sequence_last_value(s.seqrelid)) \
    ORDER BY 1";

async fn texts(session: &Session, sql: &str) -> Vec<String> {
    let rows = session.client().query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What does not hold; nothing if all does.
pub async fn violations(session: &Session) -> Vec<String> {
    let mut found = Vec::new();
    session.run("SET search_path = ''").await.unwrap();
    for list in [CONSTRAINTS, INDEXES] {
        let statements = texts(session, list).await;
        session.run("RESET search_path").await.unwrap();
        for sql in statements {
            if let Err(error) = session.run(&sql).await {
                found.push(format!("{sql}: {error}"));
            }
        }
        session.run("SET search_path = ''").await.unwrap();
    }
    for list in [VALUES, SEQUENCES] {
        let statements = texts(session, list).await;
        session.run("RESET search_path").await.unwrap();
        for sql in statements {
            match session.run(&sql).await {
                Ok(answer) if answer.value.clone().flatten().as_deref() == Some("0") => {}
                Ok(answer) => found.push(format!("{sql}: {:?}", answer.value)),
                Err(error) => found.push(format!("{sql}: {error}")),
            }
        }
        session.run("SET search_path = ''").await.unwrap();
    }
    session.run("RESET search_path").await.unwrap();
    found
}
