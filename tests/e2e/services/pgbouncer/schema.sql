CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, total int NOT NULL);
GRANT SELECT, INSERT ON orders TO svc_import, svc_report;
