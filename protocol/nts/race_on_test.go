//go:build race

package nts

const underRace = true // allocations are not what they are in production
