package api

import "time"

// ChangeArg names a change.
type ChangeArg struct {
	Change int `json:"change" help:"number of the change, as changes shows it"`
}

// Unconfirmed is a change that undoes itself unless it is confirmed.
type Unconfirmed struct {
	Plan
	ID        uint64    `json:"change"`
	Command   string    `json:"command"`
	Args      string    `json:"args"` // a JSON object; secrets as names
	Caller    string    `json:"caller"`
	Role      string    `json:"role"` // that it needs
	Made      time.Time `json:"made"`
	ConfirmBy time.Time `json:"confirm_by"`
	Undo      string    `json:"undo"`    // the command that undoes it
	Problem   string    `json:"problem"` // why it could not be undone yet, though it should be; empty when all is well
}

// Changes are those that wait to be confirmed.
type Changes struct {
	Changes []Unconfirmed `json:"changes"`
}

// Kept is what was written, for changes to last over a restart.
type Kept struct {
	Files []KeptFile `json:"files"` // those that were not so already
}

// KeptFile is a file with what is new in it.
type KeptFile struct {
	File string `json:"file"`
	Diff string `json:"diff"` // unified
}

// Commands about changes.
var ( // never assigned again
	GetChanges    = Command[None, Changes]{Name: "changes", Role: Monitor, Summary: "list the changes that undo themselves unless they are confirmed"}
	ConfirmChange = Command[ChangeArg, Changes]{Name: "changes confirm", Role: Operator, Changes: true, Summary: "let a change stay"}
	UndoChange    = Command[ChangeArg, Changes]{Name: "changes undo", Role: Operator, Changes: true, Summary: "undo a change that was not confirmed yet, now"}
	SaveChanges   = Command[None, Kept]{Name: "changes save", Role: Operator, Changes: true, Summary: "write to a file what was changed, so that it lasts over a restart"}
)

// changesCommands are those about changes themselves: what waits to be confirmed, and what was done.
func changesCommands() []Declared {
	return []Declared{GetChanges, ConfirmChange, UndoChange, SaveChanges, GetAudit}
}
