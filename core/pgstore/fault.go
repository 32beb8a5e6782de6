package pgstore

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// explain turns what went wrong with a statement into what a client sees. This is the only place that knows what SQLSTATEs
// mean to clients.
func explain(err error, sql string) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	switch {
	case fault.From(err) != nil:
		return err
	case errors.Is(err, errTimeout):
		return fault.New(fault.QueryTimeout, "query timeout: %s", sql).Because(err)
	case errors.As(err, &pg):
		return explainPostgreSQL(err, pg)
	case errors.Is(err, errAbandoned):
		return err
	}
	var gone *lostError
	switch {
	case errors.Is(err, errClosed):
		return withOutcome(fault.New(fault.Multi, "Postgres client failed: Connection terminated").Because(err))
	case errors.As(err, &gone), errors.Is(err, errUnknown):
		return withOutcome(fault.New(fault.Multi, "Postgres client failed: Connection terminated unexpectedly").Because(err))
	}
	return err
}

// connectionLost reports whether a statement failed because its connection ended, for a reason of the server or the network.
func connectionLost(err error) bool {
	var gone *lostError
	if errors.As(err, &gone) {
		return true
	}
	switch sqlState(err) {
	case "57P01", "57P02", "57P03": // admin_shutdown, crash_shutdown, cannot_connect_now
		return true
	}
	return false
}

// readOnlyTransaction is the SQLSTATE of a write that a standby refuses, or any server that is configured so.
const readOnlyTransaction = "25006"

// repeatable reports whether a statement that commits by itself, or a transaction, failed for a reason that another connection may
// not have, and it is certain that nothing was committed.
func repeatable(err error) bool {
	return !errors.Is(err, errUnknown) && (connectionLost(err) || sqlState(err) == readOnlyTransaction)
}

// withOutcome says in the context of a fault that what was asked for may have been done.
func withOutcome(f *fault.Error) *fault.Error {
	if errors.Is(f.Cause, errUnknown) {
		f.With("outcome", "unknown")
	}
	return f
}

func explainPostgreSQL(err error, pg *pgconn.PgError) error {
	if id := badID(err); id != nil {
		return id
	}
	switch pg.Code {
	case "23505": // unique_violation
		if strings.Contains(pg.Message, "violates unique constraint") {
			attribute, value := uniqueAttribute(pg.Detail)
			return fault.New(fault.UniqueAttribute, `"%s" is a unique attribute; value "%s" already exists`, attribute, value).Because(err)
		}
	case "42601", "42701": // syntax_error, duplicate_column
		return fault.New(fault.Internal, "Invalid SQL: %s", pg.Message).Because(err)
	}
	f := fault.New(fault.PostgreSQL, "%s", pg.Message)
	switch {
	case stale(pg):
		err = fmt.Errorf("%w: %w", object.ErrStale, err)
	case slices.Contains(refusedClasses, pg.Code[:min(2, len(pg.Code))]):
		err = fmt.Errorf("%w: %w", object.ErrRefused, err)
	}
	return withOutcome(f.Because(err))
}

// refusedClasses are the classes of the SQLSTATEs that say that what a row holds is refused: data_exception,
// integrity_constraint_violation, program_limit_exceeded (such as a value too long for an index), and what triggers raise.
var refusedClasses = []string{"22", "23", "54", "P0"}

// raw is an error of PostgreSQL as it is.
func raw(pg *pgconn.PgError) error { return fault.New(fault.PostgreSQL, "%s", pg.Message).Because(pg) }

// stale reports whether pg says that the statement does not fit the tables as they are now.
func stale(pg *pgconn.PgError) bool {
	switch pg.Code {
	case "42703", // undefined_column
		"42P01", // undefined_table
		"42804", // datatype_mismatch
		"26000": // invalid_sql_statement_name
		return true
	case "0A000": // feature_not_supported: also "cached plan must not change result type"
		return strings.Contains(pg.Message, "cached plan")
	}
	return false
}

// detail finds the attribute and the value in the detail of a unique violation, Key (a)=(v) already exists. Both are cut out
// as the original did: at the last )=( of the text.
var detail = regexp.MustCompile(`(?s)^.*\((.*)\)=\((.*)\)`)

func uniqueAttribute(text string) (attribute, value string) {
	if m := detail.FindStringSubmatch(text); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// badID returns the ids that made a statement fail, or nil if it failed for another reason.
func badID(err error) *object.BadID {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "22P02" {
		return nil
	}
	_, text, ok := strings.Cut(pg.Message, `"`+query.IDMark)
	if !ok {
		return nil
	}
	id, idx, ok := strings.Cut(strings.TrimSuffix(text, `"`), ":")
	if !ok {
		return nil
	}
	return &object.BadID{ID: id, IDX: idx}
}
