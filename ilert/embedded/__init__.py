"""PostgreSQL and Valkey as wheels: started on unix sockets, owned by the process that started them."""
