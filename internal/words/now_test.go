package words

import "testing"

type changing struct{ n uint64 }

func (c *changing) Changes() uint64 { return c.n }

// What was asked before a change is another question than what is asked after it.
func TestAnswersEndWithAChange(t *testing.T) {
	door := new(changing)
	before := Now(door)
	door.n++
	if after := Now(door); after == before || after != Now(door) || Now(struct{}{}) != "" {
		t.Errorf("%q, then %q", before, after)
	}
}
