package bucket

import "time"

// ReindexJob is the reindexing of one bucket behind the clients' requests: what is to be done, and how far it is. It is kept in the
// database beside the rows, and changes in the same transactions: whoever goes on with it begins where the last one ended.
type ReindexJob struct {
	Bucket string
	// Pending says that the bucket has indexes that cannot be used yet, or is asked for a pass over its rows.
	Pending bool
	Pace    *Pace // of the bucket's document; nil: servers leave it to clients
	Paused  bool  // somebody told servers to wait

	Version string // of the definition that the rest is about; empty: nothing was done yet
	After   string // the key of the last row that was looked at in this pass
	Pass    int    // over the rows; the first is 1
	Total   int64  // rows at the beginning, about
	Done    int64  // rows that were reindexed
	Missed  int64  // rows of this pass that somebody held or wrote
	Unfit   int64  // rows of this pass that cannot be reindexed as they are
	// Examples are the first of the unfit rows, each with why, and Problem is why nothing goes on; both are for people.
	Examples []string
	Problem  string
	Rate     float64 // rows a second, of late
	By       string  // who did the last of it

	Began, Noted time.Time // when it was begun, when something was last done
	Finished     time.Time // zero until the indexes can be used
	Swept        bool      // the rows were looked at once more, some time after that
	// Wait is how long the next step has to wait, by the clock of the database; Since is how long ago Noted is.
	Wait, Since time.Duration
}

// Left is how many rows are left, about.
func (j *ReindexJob) Left() int64 {
	if !j.Pending {
		return 0
	}
	return max(j.Total-j.Done, 0)
}
