// Package reconcile brings the buckets of a database in line with files: a directory of YAML documents, each of which defines
// a bucket. Reading, planning and applying are separate:
//
//	Read    files -> documents; all problems of all files, each with its line; touches nothing else
//	Make    documents and the live definitions -> plan; reads the database and changes nothing
//	Apply   carries out a plan under a lock that servers and people share; what the plan shows is what is executed, because
//	        a plan is a rehearsal of the same code
//
// [Reconciler] does all three in a server, and [Reindexer] fills new indexes behind the clients' requests.
//
// The package knows definitions and documents. It contains no SQL: core/pgstore implements its [Store].
package reconcile
