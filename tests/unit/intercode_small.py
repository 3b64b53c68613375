"""A small database of our own as a MySQL dump, so that most tests need no InterCode package."""

DUMP = """\
-- MySQL dump
CREATE USER 'admin'@'%' IDENTIFIED BY 'admin';
GRANT ALL PRIVILEGES ON *.* TO 'admin'@'%';
CREATE DATABASE IF NOT EXISTS `zoo`;
USE `zoo`;
/*!40101 SET NAMES utf8 */;
DROP TABLE IF EXISTS `keeper`;
CREATE TABLE `keeper` (
  `Keeper_ID` int NOT NULL AUTO_INCREMENT,
  `Name` varchar(255) COLLATE utf8mb4_general_ci DEFAULT NULL,
  `Born` datetime DEFAULT NULL,
  PRIMARY KEY (`Keeper_ID`),
  UNIQUE KEY `n` (`Name`(20))
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
LOCK TABLES `keeper` WRITE;
INSERT INTO `keeper` VALUES (1,'Zoé','1980-01-31 00:00:00'),(2,'O\\'Neil; the \\"2nd\\"',NULL);
UNLOCK TABLES;
CREATE TABLE `animal` (
  `ID` int NOT NULL,
  `Name` text COLLATE utf8mb4_general_ci,
  `Weight` decimal(19,4) DEFAULT NULL,
  `Keeper_ID` int DEFAULT '1',
  PRIMARY KEY (`ID`),
  KEY `k` (`Keeper_ID`),
  CONSTRAINT `fk` FOREIGN KEY (`Keeper_ID`) REFERENCES `keeper` (`Keeper_ID`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `animal` VALUES (1,'Lion',190.5,1),(2,'lion ',200,1),(3,'Ant',0.001,2),(4,NULL,7,NULL);
CREATE DATABASE IF NOT EXISTS `Park`;
USE `Park`;
CREATE TABLE `tree` (
  `Kind` varchar(20) COLLATE utf8mb4_general_ci DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `tree` VALUES ('oak'),('elm');
"""
