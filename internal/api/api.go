// Package api is the leaf that all sides share: the roles, the one table of commands that can be asked of a running ntptsd
// (declare here, Bind in a service, serve in frontdoor, call from ntptsctl), and the neutral model of the answers. It opens
// nothing and knows no part.
package api
